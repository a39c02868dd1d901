"""From files to clean tables: sources, label formats, audit, split."""
