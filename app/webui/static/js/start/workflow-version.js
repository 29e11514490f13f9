/** Versions of ComfyUI. */

const numbers = (text) => (text.match(/\d+/g) ?? []).slice(0, 4).map(Number);

/** Whether `one` is certainly older than `other`; false where one of them is not known. */
export function isOlder(one, other) {
  if (!one || !other) return false;
  const [left, right] = [numbers(one), numbers(other)];
  if (!left.length || !right.length) return false;
  const at = [0, 1, 2, 3].find((index) => (left[index] ?? 0) !== (right[index] ?? 0));
  return at !== undefined && (left[at] ?? 0) < (right[at] ?? 0);
}
