"""A toolkit that exists for the tests of `toolkit_shared.cli`."""
