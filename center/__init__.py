"""The center: pairs the views of each rig, decodes them together, and shows and measures what came out."""
