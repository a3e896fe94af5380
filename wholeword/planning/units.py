"""Numbers for people."""


def duration(hours: float) -> str:
    """Hours in the unit that suits them: `40 seconds`, `12 minutes`, `3.1 hours`, `5.2 days`."""
    if hours < 1 / 60:
        seconds = max(round(3600 * hours), 1)
        return f"{seconds} second{'s' * (seconds > 1)}"
    if hours < 1.5:
        return f"{60 * hours:.2g} minutes"
    if hours < 48:
        return f"{hours:.3g} hours"
    return f"{hours / 24:.3g} days" if hours < 24_000 else f"{hours / 24:,.0f} days"
