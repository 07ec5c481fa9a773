"""One module a command: typed options in, a library call, a result out."""
