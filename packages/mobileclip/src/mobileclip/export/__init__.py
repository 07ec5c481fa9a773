"""Both encoders as files of other runtimes, with what a reader needs besides the weights."""
