"""Parts of the image classification program `cifar100.py`."""
