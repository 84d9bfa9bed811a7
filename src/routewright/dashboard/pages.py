"""All pages, in the order of the navigation."""

from routewright.dashboard import overview

PAGES = (overview.PAGE,)
