"""How much a server takes from its clients, so that none of them can stop it for the others."""

LARGEST_BODY = 1 << 20  # bytes of a request that is no file
LARGEST_FILE = 256 << 20  # bytes of a file to import: some 500,000 pairs
LONGEST_TEXT = 10_000  # characters translated in one request: while it is, the others wait
LONGEST_FIELD = 2_000  # characters of an origin, an author, a search
MOST_TEXTS = 100  # in one request
MOST_SHOWN = 500  # lessons or changes in one answer
WIDEST_BEAM = 20  # hypotheses
MOST_WAITING = 200  # requests that wait for the translator; more are told to come again
STALLED = 30.0  # seconds in which a client has sent nothing of a body that is not complete
SHORTEST_TOKEN = 16  # characters
