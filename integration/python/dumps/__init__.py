"""Generators of the HLO texts that the case folders start from.

    python -m dumps [NAME ...]     writes ../cases/NAME/00-input.hlo for the named models, or for all

Run it in this folder's parent, in the environment of `requirements.txt`. Each model is a function of TensorFlow or JAX; the text
is what the framework prints for it. Nothing is edited but file names in the metadata, which lose the folder that the packages
are installed in.
"""
