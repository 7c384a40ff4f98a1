"""What stands for the program that runs the tests, in processes that they start."""
