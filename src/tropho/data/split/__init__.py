"""Assign images to stratified folds of whole groups, and summarise the split."""
