"""What reports are made of, whichever face shows them: sums as values, figures as words, charts as text."""
