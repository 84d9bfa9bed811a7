"""What `routewright report` says, and the forms it says it in: values in, text out."""
