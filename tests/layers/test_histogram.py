from routewright.layers.histogram import Histogram


def test_a_value_counts_in_every_bucket_that_it_is_not_above() -> None:
    histogram = Histogram((0.1, 0.5, 1.0))
    for value in (0.1, 0.11, 0.5, 7.0):
        histogram.note("swift", value)
    histogram.note("", 0.0)
    courses = dict(histogram.courses())
    assert courses["swift"].buckets == ((0.1, 1), (0.5, 3), (1.0, 3))
    assert (courses["swift"].count, courses["swift"].sum) == (4, 0.1 + 0.11 + 0.5 + 7.0)
    assert courses[""].buckets == ((0.1, 1), (0.5, 1), (1.0, 1))
