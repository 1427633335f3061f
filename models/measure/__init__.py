"""What a model is worth: 1:1, 1:K in an open set, and the thresholds that follow."""
