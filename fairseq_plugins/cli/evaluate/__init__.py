"""Measure translations, one-shot learning of drawings, or algorithms that were learned.

    fairseq-memory evaluate translation test.hyp --ref test.de --train train.de

Say --help after what is to be evaluated for all that can be measured.
"""
