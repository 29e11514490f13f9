"""How good the predicted remaining time is: recorded journals of real runs, played back."""
