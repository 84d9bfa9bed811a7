"""All pages, in the order of the navigation."""

from routewright.dashboard import overview, request, requests, sessions

PAGES = (overview.PAGE, requests.PAGE, request.PAGE, sessions.PAGE, sessions.ONE)
