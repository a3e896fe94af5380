"""What masking does to a corpus: `wholeword report`.

    source        what the user points at -> a token store, how rows are made from it and masked
    figures       a store in figures, as plain data
    masks         rows of a store, masked and counted
    sample        some text of a corpus
    compare       several segmenters over it, as plain data
    lines, pages  the same data for people

Shares are in [0, 1] and end in `_rate`, counts begin with `num_`; both are functions of the store (or the text) and the settings alone.
"""
