/** Words of the API that decide something here. app/protocol owns them; test/house/test_one_owner.py compares. */

const GOOD_NODE_STATES = ["installed", "verified"];

/** Whether a node pack is installed, imported by ComfyUI or not. */
export const isInstalled = (node) => GOOD_NODE_STATES.includes(node.state);

const RESTART_STEP = "Restart ComfyUI";

/** How the restart of ComfyUI went; undefined for a task that restarts nothing. */
export const restartOf = (progress) => progress.steps.find((step) => step.name === RESTART_STEP);
