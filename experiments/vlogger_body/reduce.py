"""Thins a mesh: keeps some of its vertices, all where a face moves, few where a body is large."""

import numpy as np
from scipy.sparse import coo_matrix, csgraph


def thin(vertices, triangles, mirror, spacing, used):
  """Chooses vertices so that neighbours are `spacing` apart, and joins the rest to them.

  Args:
    vertices: [V, 3].
    triangles: int [T, 3].
    mirror: int [V], of each vertex its number on the other side.
    spacing: [V], 0 keeps a vertex.
    used: bool [V], whether a vertex is part of the mesh.

  Returns:
    Numbers of the kept vertices [K], and triangles [t, 3] between them.
  """
  keep = used & (spacing == 0)
  order = np.lexsort((vertices[:, 1], np.abs(vertices[:, 0])))  # from the middle outwards
  places = list(np.nonzero(keep)[0])
  chosen = vertices[places]
  for vertex in order:
    if used[vertex] and not keep[vertex] and vertices[vertex, 0] >= -1e-4:
      near = chosen if len(chosen) else np.full((1, 3), 1e9)
      if ((near - vertices[vertex]) ** 2).sum(1).min() >= spacing[vertex] ** 2:
        both = [vertex] if mirror[vertex] == vertex else [vertex, mirror[vertex]]
        keep[both] = True
        chosen = np.concatenate([chosen.reshape(-1, 3), vertices[both]])
  edges = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
  length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1) + 1e-9
  graph = coo_matrix((length, edges.T), (len(vertices),) * 2).tocsr()
  kept = np.nonzero(keep)[0]
  *_, nearest = csgraph.dijkstra(
    graph, directed=False, indices=kept, return_predecessors=True, min_only=True)  # fmt: skip
  nearest[kept] = kept
  nearest = np.where(nearest < 0, np.arange(len(vertices)), nearest)
  joined = nearest[triangles]
  solid = (joined[:, 0] != joined[:, 1]) & (joined[:, 1] != joined[:, 2])
  solid &= (joined[:, 2] != joined[:, 0]) & used[triangles].all(1) & keep[joined].all(1)
  joined = joined[solid]
  _, first = np.unique(np.sort(joined, 1), axis=0, return_index=True)
  return kept, joined[np.sort(first)]
