"""Neural style transfer: a picture, a sound or a volume gets the textures of others, by optimising its own values.

Gatys, Ecker, Bethge: "A Neural Algorithm of Artistic Style", 2015, and "Image Style Transfer Using Convolutional Neural
Networks", CVPR 2016. `plan.plan` is the way in.
"""
