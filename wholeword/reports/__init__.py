"""What masking does to a corpus: `wholeword report`, `wholeword mask`, `wholeword leakage`.

    source        what the user points at -> a token store, and how its rows are made and masked
    store         a report on a store, with the help of lengths, duplicates, masks
    compare       several segmenters on one text (sample), pair by pair (agreement)
    preview       sentences, masked
    leakage       test texts in training text
    lines, html   reports for people; terminal: previews in colours

Shares are in [0, 1] and end in `_rate`, counts begin with `num_`; both depend only on the store (or the text) and the settings.
"""
