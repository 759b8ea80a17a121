"""The commands of `nhipcau` that work on the data of a node, a file for each group."""
