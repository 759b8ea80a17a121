export function ViewerPage() {
  return <h1>x</h1>;
}
