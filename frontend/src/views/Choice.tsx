/** One of several things to choose, with a label before it. */

interface ChoiceProps<Value extends string> {
  label: string;
  name: string;
  title?: string | undefined;
  value: Value;
  options: readonly { value: Value; label: string; title?: string; disabled?: boolean }[];
  onChoose: (value: Value) => void;
}

export function Choice<Value extends string>(props: ChoiceProps<Value>) {
  const { label, name, title, value, options, onChoose } = props;
  return (
    <label class="choice">
      <span>{label}</span>
      <select
        name={name}
        title={title}
        value={value}
        onChange={(event) => onChoose(event.currentTarget.value as Value)}
      >
        {options.map((option) => (
          <option
            key={option.value}
            value={option.value}
            title={option.title}
            disabled={option.disabled}
          >
            {option.label}
          </option>
        ))}
      </select>
    </label>
  );
}
