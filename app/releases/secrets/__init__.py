"""Secret values of releases: which they are, how they are shown, and how what was shown comes back.

A value is secret by its name, by its looks, because the chart puts it into a Secret or its schema says so, or because
the caller does (`secret_values`). `Opened` is the only form in which values are handed around.
"""
