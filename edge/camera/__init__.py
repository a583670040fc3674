"""From a camera to the newest picture of the codec's size."""
