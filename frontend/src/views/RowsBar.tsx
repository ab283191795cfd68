/** Which rows are shown, and in which order. */

import { visibleName } from "../model/names";
import { formatCounted } from "../model/numbers";
import { ORDERS, type Order } from "../model/rows";
import type { Session } from "../state/session";
import { ROLES } from "../wire/schema";

export const FILTER_ID = "rows-filter";

export function RowsBar({ session }: { session: Session }) {
  const { rows } = session;
  const parsed = rows.parsed.value;
  const [shown, all] = [rows.shown.value.length, rows.tensors.value.length];
  const roles = [...new Set(rows.tensors.value.map(({ role }) => role))];
  const tree = rows.layout.value === "tree";
  return (
    <search class="rows-bar" aria-label="Rows">
      <input
        id={FILTER_ID}
        type="search"
        placeholder="Filter: words or /regex/"
        aria-label="Filter rows by words or by a /regular expression/"
        aria-invalid={parsed.kind === "wrong"}
        title={parsed.kind === "wrong" ? parsed.message : ""}
        value={rows.filter.value}
        onInput={(event) => {
          rows.filter.value = event.currentTarget.value;
        }}
      />
      {roles.length > 1 && (
        <select
          aria-label="Roles"
          value={rows.role.value ?? ""}
          onChange={(event) => {
            rows.role.value = event.currentTarget.value || null;
          }}
        >
          <option value="">All roles</option>
          {roles.map((role) => (
            <option key={role} value={role}>
              {ROLES.find(({ name }) => name === role)?.label ?? visibleName(role)}
            </option>
          ))}
        </select>
      )}
      <select
        aria-label="Order of the rows"
        value={rows.order.value}
        onChange={(event) => {
          rows.order.value = event.currentTarget.value as Order;
        }}
      >
        {ORDERS.map(({ name, label }) => (
          <option key={name} value={name}>
            {label}
          </option>
        ))}
      </select>
      {rows.workers.value.length > 1 && (
        <select
          aria-label="Replicas"
          value={rows.replicas.value}
          onChange={(event) => {
            rows.replicas.value = event.currentTarget.value;
          }}
        >
          <option value="beside">All replicas</option>
          <option value="lanes">Replicas apart</option>
          <option value="merged">Replicas merged</option>
          {rows.workers.value.map((worker) => (
            <option key={worker} value={`only ${worker}`}>
              Only {visibleName(worker)}
            </option>
          ))}
        </select>
      )}
      <label class="check">
        <input
          type="checkbox"
          checked={tree && rows.order.value === "model"}
          disabled={rows.order.value !== "model"}
          onChange={() => {
            rows.chosenLayout.value = tree ? "list" : "tree";
          }}
        />
        Tree
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={rows.onlyAffected.value}
          onChange={(event) => {
            rows.onlyAffected.value = event.currentTarget.checked;
          }}
        />
        Only trouble
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={session.curves.value}
          onChange={(event) => {
            session.curves.value = event.currentTarget.checked;
          }}
        />
        Curves
      </label>
      <span class="shown" role="status">
        {parsed.kind === "wrong" ? (
          <span class="wrong">{parsed.message}</span>
        ) : shown < all ? (
          `${shown} of ${formatCounted(all, "tensor")}`
        ) : (
          ""
        )}
      </span>
    </search>
  );
}
