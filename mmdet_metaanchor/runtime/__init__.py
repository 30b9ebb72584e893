"""What tools run on: the stack, command lines, runners, checkpoints, files."""
