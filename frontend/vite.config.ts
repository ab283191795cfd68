import { defineConfig } from "vite";

// TensorBoard loads one ES module and calls its `render`. Not the library mode: that one leaves
// whitespace in ES output, and this file goes to browsers as it is.
export default defineConfig({
  build: {
    target: "es2022",
    modulePreload: false,
    rolldownOptions: {
      input: "src/index.tsx",
      preserveEntrySignatures: "strict",
      output: { format: "es", entryFileNames: "index.js" },
    },
  },
});
