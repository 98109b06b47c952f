"""What both command lines share: progress, results, failures, inspect and verify."""
