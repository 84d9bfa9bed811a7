"""What a browser sends with a form of one of our pages."""

FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
