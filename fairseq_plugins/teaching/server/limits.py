"""Limits on requests, so that no client can block the server for the others."""

LARGEST_BODY = 1 << 20  # bytes of a request other than a file
LARGEST_FILE = 256 << 20  # bytes of a file to import: about 500,000 pairs
LONGEST_TEXT = 10_000  # characters translated in one request, while others wait
LONGEST_FIELD = 2_000  # characters of an origin, an author, a search
MOST_TEXTS = 100  # in one request
MOST_SHOWN = 500  # lessons or changes in one answer
WIDEST_BEAM = 20  # hypotheses
MOST_WAITING = 200  # requests that wait for the translator; more are rejected
STALLED = 30.0  # seconds without data before a request with an incomplete body is rejected
SHORTEST_TOKEN = 16  # characters
