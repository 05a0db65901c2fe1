"""A filmed face and a new voice become the film with new lips; every frame is its own portrait.

draw: frame by frame; speech: lips that say the voice, for the head as the film moves it; face:
landmarks as seen from the front, and the mesh of the lower face; warp, paint: how it moves; mouth:
what an opening mouth shows.
"""
