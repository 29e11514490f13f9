/** A page in words for what could not be answered. Once somebody has logged in, or the service answers again, it is asked
 *  for again. */

const again = document.body.dataset.again;

if (again === "login") addEventListener("nodeferry:who", () => location.reload(), { once: true });
document.getElementById("again")?.addEventListener("click", () => location.reload());
