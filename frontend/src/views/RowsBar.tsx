/** Which rows are shown, and in which order. */

import type { Signal } from "@preact/signals";
import { visibleName } from "../model/names";
import { formatCounted } from "../model/numbers";
import { ORDERS, type Order } from "../model/rows";
import type { Rows } from "../state/rows";
import { ROLES } from "../wire/schema";
import { Menu } from "./Menu";

export const FILTER_ID = "rows-filter";

const FILTER_HELP =
  "All words must occur in the role, layer or name. A regular expression goes between slashes: /dense_\\d/";

interface RowsBarProps {
  rows: Rows;
  curvesShown: Signal<boolean>;
}

export function RowsBar({ rows, curvesShown }: RowsBarProps) {
  const isGrouped = rows.layout.value === "tree";
  const isModelOrder = rows.order.value === "model";
  return (
    <search class="rows-bar" aria-label="Rows">
      <FilterInput rows={rows} />
      <RoleMenu rows={rows} />
      <Checkbox
        label="Only affected"
        checked={rows.onlyAffected.value}
        onChange={(checked) => {
          rows.onlyAffected.value = checked;
        }}
      />
      <Menu label="Rows">
        <label class="menu-line">
          Order
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
        </label>
        <ReplicaMenu rows={rows} />
        <Checkbox
          label="Group by path"
          checked={isGrouped && isModelOrder}
          disabled={!isModelOrder}
          onChange={() => {
            rows.chosenLayout.value = isGrouped ? "list" : "tree";
          }}
        />
        <Checkbox
          label="Loss and gradient curves"
          checked={curvesShown.value}
          onChange={(checked) => {
            curvesShown.value = checked;
          }}
        />
      </Menu>
      <LayerChip rows={rows} />
      <ShownCount rows={rows} />
    </search>
  );
}

function FilterInput({ rows }: { rows: Rows }) {
  const parsed = rows.parsed.value;
  const isWrong = parsed.kind === "wrong";
  return (
    <input
      id={FILTER_ID}
      type="search"
      placeholder="Filter tensors…"
      aria-label="Filter tensors by words or by a /regular expression/"
      aria-invalid={isWrong}
      title={isWrong ? parsed.message : FILTER_HELP}
      value={rows.filter.value}
      onInput={(event) => {
        rows.filter.value = event.currentTarget.value;
      }}
    />
  );
}

function RoleMenu({ rows }: { rows: Rows }) {
  const roles = [...new Set(rows.tensors.value.map(({ role }) => role))];
  if (roles.length < 2) return null;
  return (
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
  );
}

function ReplicaMenu({ rows }: { rows: Rows }) {
  if (rows.workers.value.length < 2) return null;
  return (
    <select
      class="menu-line"
      aria-label="Replicas"
      value={rows.replicas.value}
      onChange={(event) => {
        rows.replicas.value = event.currentTarget.value;
      }}
    >
      <option value="all">All replicas</option>
      <option value="separate">Separate replicas</option>
      <option value="merged">Merged replicas</option>
      {rows.workers.value.map((worker) => (
        <option key={worker} value={`only ${worker}`}>
          Only {visibleName(worker)}
        </option>
      ))}
    </select>
  );
}

interface CheckboxProps {
  label: string;
  checked: boolean;
  disabled?: boolean;
  onChange: (checked: boolean) => void;
}

function Checkbox({ label, checked, disabled = false, onChange }: CheckboxProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      {label}
    </label>
  );
}

/** The layer whose rows alone are shown, with the way back to all. */
function LayerChip({ rows }: { rows: Rows }) {
  const layer = rows.layer.value;
  if (layer === null) return null;
  return (
    <button
      type="button"
      class="chip"
      title="Show the rows of all layers"
      onClick={() => {
        rows.layer.value = null;
      }}
    >
      layer <code>{visibleName(layer)}</code> <span aria-hidden="true">×</span>
    </button>
  );
}

function ShownCount({ rows }: { rows: Rows }) {
  const parsed = rows.parsed.value;
  const [shown, all] = [rows.shown.value.length, rows.tensors.value.length];
  return (
    <span class="shown" role="status">
      {parsed.kind === "wrong" ? (
        <span class="wrong">{parsed.message}</span>
      ) : (
        shown < all && `${shown} of ${formatCounted(all, "tensor")}`
      )}
    </span>
  );
}
