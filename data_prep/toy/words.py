"""The ordinary words of the toy corpus in English, from which the lexicon is made.

Plain lists, with the more frequent words first. `word:form` gives an irregular form: the past tense
of a verb, the plural of a noun.
"""

PEOPLE = """
baker farmer teacher doctor child:children king queen sailor painter singer soldier hunter
tailor poet judge guest friend neighbor student merchant shepherd miller thief:thieves giant dancer
captain nurse pilot writer gardener dog cat horse cow goat bird fox wolf:wolves bear rabbit duck
pig lion tiger eagle frog spider monkey turtle beaver
"""

THINGS = """
apple book letter lamp table chair hat coat shoe cup plate spoon knife:knives key coin ring
bell drum flute rope box bag basket bottle blanket candle clock mirror ladder hammer needle map
picture flower stone cake egg carrot lemon boat cart wheel
"""

PLACES = """
house garden forest river mountain village town castle bridge market school church tower
island valley harbor kitchen cellar field road lake hill cave mill inn palace
"""

ADJECTIVES = """
old young big small red green blue white black yellow happy sad clever lazy brave
strong weak quiet loud kind proud rich poor clean dirty dark bright heavy light warm cold soft hard
long short round broken new strange famous
"""

TRANSITIVE = """
watch follow remember paint describe find:found lose:lost carry hide:hid touch clean
want love hate buy:bought keep:kept draw:drew choose:chose admire forget:forgot steal:stole push
pull lift catch:caught protect praise fear need visit know:knew hear:heard miss call
"""

INTRANSITIVE = """
sleep:slept sing:sang laugh wait work dance smile rest talk walk run:ran cry dream
swim:swam shout whisper
"""

DITRANSITIVE = "give:gave send:sent show offer lend:lent promise return sell:sold"
