"""What is predicted: encoding of labels, loss, metrics, baseline and decisions."""
