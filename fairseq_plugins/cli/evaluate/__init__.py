"""Evaluate translations, one-shot learning of drawings, or learned algorithms.

    fairseq-memory evaluate translation test.hyp --ref test.de --train train.de

To see all metrics, use --help after the subject of the evaluation.
"""
