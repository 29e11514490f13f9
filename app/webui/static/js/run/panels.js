/** The views beside the rows, and the log. */


export class Panels {
  constructor(refs, { address, rows, pick }) {
    Object.assign(this, { refs, address, rows, pick });
  }

  update() {}

  moved() {}

  log() {}

  plan() {}
}
