"use strict";
// Sorts the table of students by a column, and shows only the rows that hold what is typed.
const table = document.getElementById("all-students");
const body = table.tBodies[0];
const filter = document.createElement("input");
filter.type = "search";
filter.placeholder = "a name, a status, a number";
const label = document.createElement("label");
label.append("Show only ", filter);
const shown = document.createElement("span");
shown.setAttribute("role", "status");
const line = document.createElement("p");
line.append(label, " ", shown);
table.parentElement.before(line);

for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
  const button = document.createElement("button");
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].textContent.trim();
    const rows = [...body.rows].sort((a, b) => compare(key(a), key(b)));
    body.append(...(down ? rows.reverse() : rows));
  });
}

filter.addEventListener("input", () => {
  const wanted = filter.value.toLocaleLowerCase();
  let visible = 0;
  for (const row of body.rows) {
    row.hidden = !row.textContent.toLocaleLowerCase().includes(wanted);
    visible += !row.hidden;
  }
  shown.textContent = `${visible} of ${body.rows.length} students`;
});

function compare(one, other) {
  const numbers = [Number.parseFloat(one), Number.parseFloat(other)];
  if (numbers.every(Number.isFinite)) return numbers[0] - numbers[1];
  return one.localeCompare(other, undefined, { numeric: true });
}
