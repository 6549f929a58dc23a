"""Value types shared by every layer: settings, layouts, probe reports, plans, keys, errors."""
