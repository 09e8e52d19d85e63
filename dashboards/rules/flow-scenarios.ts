/** What the alerts about schedules, workflows and pauses must do. */
import { counters, gauges } from "../../exporters/catalogue.ts"
import { level, ramp, type Scenario, series } from "./samples.ts"

const { scheduleNext, taskPaused } = gauges
const nightly = { schedule: "nightly" }

export const flowScenarios: readonly Scenario[] = [
  {
    name: "a slot that is due at minute 12 is fired at minute 20; one process knows only then",
    series: [
      series(scheduleNext, nightly, level([20, 720], [60, 86_400])),
      series(scheduleNext, { ...nightly, instance: "b" }, level([21, 720], [59, 86_400])),
    ],
    firing: {
      12: [],
      13: [],
      15: [],
      17: ["TaskoraScheduleLate"],
      19: ["TaskoraScheduleLate"],
      22: [],
      79: [],
    },
  },
  {
    name: "a schedule is paused, another fires each minute and one process hears of it late",
    series: [
      series(scheduleNext, nightly, level([60, 0])),
      series(scheduleNext, { schedule: "sweep" }, "60+60x59"),
      series(scheduleNext, { schedule: "sweep", instance: "b" }, level([60, 60])),
    ],
    firing: { 20: [], 59: [] },
  },
  {
    name: "every third workflow fails for a while",
    series: [
      series(counters.workflowsCompleted, {}, ramp([[80, 6]])),
      series(
        counters.workflowsFailed,
        {},
        ramp([
          [20, 0],
          [20, 3],
          [40, 0],
        ]),
      ),
    ],
    firing: { 20: [], 24: [], 35: ["TaskoraWorkflowsFail"], 60: [], 79: [] },
  },
  {
    name: "the two workflows of an hour fail",
    series: [
      series(counters.workflowsCompleted, {}, ramp([[80, 0]])),
      series(counters.workflowsFailed, {}, level([20, 0], [20, 1], [40, 2])),
    ],
    firing: { 22: [], 30: [], 45: [], 79: [] },
  },
  {
    name: "a few of very many workflows fail",
    series: [
      series(counters.workflowsCompleted, {}, ramp([[60, 600]])),
      series(counters.workflowsFailed, {}, ramp([[60, 30]])),
    ],
    firing: { 20: [], 59: [] },
  },
  {
    name: "a task is paused for half an hour, later for an hour and a half",
    series: [series(taskPaused, {}, level([10, 0], [30, 1], [10, 0], [90, 1], [20, 0]))],
    firing: { 39: [], 60: [], 109: [], 115: ["TaskoraTaskPaused"], 145: [] },
  },
]
