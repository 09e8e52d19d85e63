/** Stable, so that links and bookmarks stay good. */
export const uids = {
  overview: "taskora-overview",
  task: "taskora-task",
  workers: "taskora-workers",
} as const
