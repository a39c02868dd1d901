"""How labels and submissions are read and written, whatever their format; `readers.read` picks the reader."""
