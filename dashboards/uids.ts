/** Stable, so that links and bookmarks stay good. */
export const uids = {
  overview: "taskora-overview",
  task: "taskora-task",
  flow: "taskora-flow",
  workers: "taskora-workers",
} as const
