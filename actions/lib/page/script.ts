// What a page does in a browser: tables are sorted by their heads, filtered, and shaded where more of them is beside; folds open for print.

/** Plain JavaScript, inlined; without it the page shows everything all the same. */
export const SCRIPT = `
"use strict";
for (const button of document.querySelectorAll("button.sort")) {
	button.addEventListener("click", () => sortBy(button.closest("th")));
}
function sortBy(head) {
	const place = [...head.parentElement.children].indexOf(head);
	const rising = head.getAttribute("aria-sort") !== "ascending";
	for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
	head.setAttribute("aria-sort", rising ? "ascending" : "descending");
	const body = head.closest("table").tBodies[0];
	const keyOf = (row) => row.cells[place].dataset.sort ?? row.cells[place].textContent;
	const rows = [...body.rows].map((row) => ({ row, key: keyOf(row) }));
	const order = new Intl.Collator("en", { numeric: true });
	rows.sort((a, b) => {
		const [one, other] = [Number(a.key), Number(b.key)];
		// What has no figure stays last, whichever way.
		const missing = (a.key === "–") - (b.key === "–");
		if (missing) return missing;
		const found = a.key !== "" && b.key !== "" && !isNaN(one) && !isNaN(other) ? one - other : order.compare(a.key, b.key);
		return rising ? found : -found;
	});
	body.append(...rows.map(({ row }) => row));
}
for (const form of document.querySelectorAll("form[data-filters]")) {
	const rows = [...document.getElementById(form.dataset.filters).tBodies[0].rows];
	const filter = () => {
		const slice = form.elements.slice.value.trim().toLowerCase();
		const metric = form.elements.metric.value;
		let shown = 0;
		for (const row of rows) {
			row.hidden =
				!row.dataset.slice.toLowerCase().includes(slice) ||
				(metric !== "" && row.dataset.metric !== metric) ||
				(form.elements.moved.checked && row.dataset.moved !== "true");
			if (!row.hidden) shown++;
		}
		form.querySelector("output").textContent = shown + " of " + rows.length + " rows";
	};
	form.addEventListener("input", filter);
	form.addEventListener("submit", (event) => event.preventDefault());
	// A browser that goes back keeps what was typed.
	filter();
}
const shade = (area) => {
	const rest = area.scrollWidth - area.clientWidth - area.scrollLeft;
	area.classList.toggle("before", area.scrollLeft > 1);
	area.classList.toggle("after", rest > 1);
};
const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => shade(target)));
for (const area of document.querySelectorAll(".scroll")) {
	area.addEventListener("scroll", () => shade(area), { passive: true });
	// A fold that opens gives its tables their size.
	sizes.observe(area);
}
addEventListener("beforeprint", () => {
	for (const fold of document.querySelectorAll("details")) fold.open = true;
});
`;
