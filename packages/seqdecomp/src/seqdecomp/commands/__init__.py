"""One thin module a command: typed arguments in, one library call, the result out."""
