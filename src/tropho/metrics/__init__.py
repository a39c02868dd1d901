"""What predictions are worth: numpy alone where that can be, so that the light commands start fast."""
