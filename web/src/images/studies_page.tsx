export function StudiesPage() {
  return <h1>x</h1>;
}
